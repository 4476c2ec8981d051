import './base.css';
import './batch.css';
import './panel.css';
